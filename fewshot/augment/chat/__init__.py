"""The way to a language model behind an OpenAI-compatible endpoint: prompts, requests, limits, answers kept on disk."""
