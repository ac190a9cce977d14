"""The queue: what is computed together, what waits, and what is dropped."""

import asyncio
import time

import pytest

from fewshot.serving.batcher import Batcher, ClientGone, QueueFull


async def waits():
    return False


async def is_gone():
    return True


class Upper:
    """Computes capitals; keeps the texts of each batch, part by part."""

    def __init__(self, seconds=0.0):
        self.batches, self.seconds = [], seconds

    def __call__(self, parts):
        self.batches.append([list(part.texts) for part in parts])
        time.sleep(self.seconds)
        if any(text == "bad" for part in parts for text in part.texts):
            raise ValueError("a bad text")
        return [[part.item + text.upper() for text in part.texts] for part in parts]


def played(scenario, compute, tokens=1000, wait=0.02, max_texts=100):
    async def run():
        batcher = Batcher(compute, tokens, wait, max_texts)
        working = asyncio.create_task(batcher.run())
        try:
            return await scenario(batcher)
        finally:
            working.cancel()
            batcher.close()

    return asyncio.run(run())


def test_requests_that_come_together_are_computed_together():
    upper = Upper()

    async def scenario(batcher):
        jobs = [batcher.submit(f"{number}:", [f"text {number}"], 5.0, waits) for number in range(10)]
        return await asyncio.gather(*jobs)

    assert played(scenario, upper) == [[f"{number}:TEXT {number}"] for number in range(10)]
    assert len(upper.batches) == 1


def test_a_batch_holds_as_many_tokens_as_it_may():
    upper = Upper()

    async def scenario(batcher):
        await asyncio.gather(*(batcher.submit("", ["four"], 5.0, waits) for _ in range(7)))

    played(scenario, upper, tokens=9)  # 3 tokens a text
    assert [len(batch) for batch in upper.batches] == [3, 3, 1]


def test_one_token_computes_each_request_by_itself():
    upper = Upper()

    async def scenario(batcher):
        await asyncio.gather(*(batcher.submit("", ["four"], 5.0, waits) for _ in range(3)))

    played(scenario, upper, tokens=1)
    assert upper.batches == [[["four"]]] * 3


def test_small_requests_pass_between_the_parts_of_a_large_one():
    upper = Upper(seconds=0.02)

    async def scenario(batcher):
        large = asyncio.create_task(batcher.submit("", ["four"] * 8, 5.0, waits))
        await asyncio.sleep(0.005)  # its first part is being computed
        small = await batcher.submit("", ["five"], 5.0, waits)
        assert not large.done()
        return small, await large

    small, large = played(scenario, upper, tokens=9, wait=0.0)
    assert (small, large) == (["FIVE"], ["FOUR"] * 8)
    assert [["five"]] in [batch[:1] for batch in upper.batches] or [["four"] * 3, ["five"]] in upper.batches


def test_what_does_not_fit_into_the_queue_is_refused_at_once():
    upper = Upper(seconds=0.05)

    async def scenario(batcher):
        first = asyncio.create_task(batcher.submit("", ["a"] * 3, 5.0, waits))
        await asyncio.sleep(0)
        began = time.monotonic()
        with pytest.raises(QueueFull) as full:
            await batcher.submit("", ["b"] * 2, 5.0, waits)
        assert time.monotonic() - began < 0.02
        assert full.value.retry_after >= 1
        assert await first == ["A"] * 3
        return await batcher.submit("", ["b"] * 4, 5.0, waits)

    assert played(scenario, upper, max_texts=4) == ["B"] * 4


def test_a_request_that_is_late_or_whose_client_has_gone_is_not_computed():
    upper = Upper(seconds=0.1)

    async def scenario(batcher):
        busy = asyncio.create_task(batcher.submit("", ["busy"], 5.0, waits))
        await asyncio.sleep(0.03)
        late = asyncio.create_task(batcher.submit("", ["late"], 0.01, waits))
        gone = asyncio.create_task(batcher.submit("", ["gone"], 5.0, is_gone))
        with pytest.raises(TimeoutError):
            await late
        with pytest.raises(ClientGone):
            await gone
        await busy
        assert batcher.n_waiting == 0
        return await batcher.submit("", ["next"], 5.0, waits)

    assert played(scenario, upper, wait=0.0) == ["NEXT"]
    assert upper.batches == [[["busy"]], [["next"]]]


def test_a_text_that_cannot_be_computed_fails_its_own_request_alone():
    async def scenario(batcher):
        jobs = [batcher.submit("", [text], 5.0, waits) for text in ("a", "bad", "c")]
        return await asyncio.gather(*jobs, return_exceptions=True)

    first, bad, last = played(scenario, Upper())
    assert (first, last) == (["A"], ["C"])
    assert str(bad) == "a bad text"


def test_a_lone_client_does_not_wait():
    async def scenario(batcher):
        began = time.monotonic()
        for _ in range(5):
            await batcher.submit("", ["a"], 5.0, waits)
        return time.monotonic() - began

    assert played(scenario, Upper(), wait=1.0) < 1
