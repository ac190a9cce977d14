"""The entry point of the command `fewshot`: mistakes become sentences and exit statuses."""

import logging
import os
import sys
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

import fewshot.native  # noqa: F401 - before torch is loaded
from fewshot.cli import commands
from fewshot.cli.logs import PrintableFormatter
from fewshot.errors import FewshotError, sentence

_INTERRUPTED = 130  # exit status after Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: those of `fewshot`; None: `sys.argv[1:]`.

    Returns:
        Exit status: 0; 2 for a mistake that the user can mend; 130 after Ctrl-C.
    """
    typed = list(sys.argv[1:] if arguments is None else arguments)
    commands.typed[:] = typed
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("fewshot").setLevel(logging.INFO if typed[:1] in (["fit"], ["serve"]) else logging.WARNING)
    try:
        status = commands.app(typed or ["--help"], standalone_mode=False, prog_name="fewshot")
    except typer.Exit as stop:
        status = stop.exit_code
    except FewshotError as error:
        return _complain(f"error: {error}")
    except (typer.Abort, KeyboardInterrupt):
        status = _INTERRUPTED
    except BrokenPipeError:  # the reader of standard output is gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f" {str(error.filename)!r}" if error.filename else ""
        return _complain(f"error: Could not read or write{where}: {error.strerror or error}. Check the path.")
    except TyperException as error:
        context = getattr(error, "ctx", None)
        command = "fewshot" if context is None else context.command_path
        return _complain(f"error: {error.format_message()} `{command} --help` shows how.")
    if status == _INTERRUPTED:  # what typer makes of Ctrl-C
        return _complain("\nStopped.", _INTERRUPTED)
    return int(status or 0)


def _complain(message: str, status: int = 2) -> int:
    print(sentence(message), file=sys.stderr, flush=True)
    return status
