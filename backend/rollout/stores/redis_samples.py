"""Pairs that differ, with their pictures, in Redis: every replica shows them, and what is removed is gone.

What Redis has on its own disk is written anew after a removal, where it lets us order that.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence

import redis

from backend.rollout.store import Sample, SampleLimits
from backend.rollout.stores.redis_client import Client
from backend.rollout.stores.redis_link import RedisLink
from backend.rollout.stores.redis_scripts import ADD_SAMPLE, REMOVE_SAMPLES
from backend.rollout.stores.words import is_asked_for, sample_from, sample_text

logger = logging.getLogger(__name__)

AT_ONCE = 100  # samples, of which one page of an answer is searched

_KEYS = ("samples", "samples_words", "samples_pictures", "samples_about", "samples_sizes", "samples_bytes")


class RedisSamples(RedisLink):
    def add_sample(self, sample: Sample, picture: bytes, limits: SampleLimits) -> None:
        if len(sample_text(sample)) + len(picture) > limits.total_bytes:
            return
        oldest_at = self.now() - limits.age_s
        self._put_sample(
            sample, picture, limits.count, limits.total_bytes, oldest_at, max(1, round(limits.age_s))
        )

    def _put_sample(self, sample: Sample, picture: bytes, *limits: float) -> None:
        about = sample.camera, repr(float(sample.at))
        self._run(ADD_SAMPLE, _KEYS, sample.id, sample_text(sample), picture, *about, *limits)

    def samples(
        self, limit: int, detector: str = "", camera: str = "", kind: str = "", label: str = ""
    ) -> tuple[Sample, ...]:
        found: list[Sample] = []
        wanted = [json.dumps(word).encode() for word in (detector, camera, kind, label) if word]
        for page in self._pages(wanted):
            found += [one for one in page if is_asked_for(one, detector, camera, kind, label)]
            if len(found) >= limit:
                break
        return tuple(found[:limit])

    def _pages(self, wanted: Sequence[bytes]) -> Iterator[list[Sample]]:
        """The last one first. By name, since others may come and go meanwhile. Only what holds the words that are
        `wanted` is read: reading ten thousand that do not takes a quarter of a second of the thread that watches the
        flags."""
        ids, words, *_ = map(self._key, _KEYS)
        before = b"+"
        while page := self._ask("ZREVRANGEBYLEX", ids, before, "-", "LIMIT", 0, AT_ONCE):
            texts = self._ask("HMGET", words, *page)
            with self._redis():
                yield [
                    sample_from(text)
                    for text in texts
                    if text is not None and all(word in text for word in wanted)
                ]
            before = b"(" + page[-1]

    def picture(self, sample_id: str) -> bytes | None:
        picture: bytes | None = self._ask("HGET", self._key("samples_pictures"), sample_id)
        return picture

    def remove_samples(self, camera: str | None) -> int:
        which = ("all",) if camera is None else ("of", camera)
        gone = int(self._run(REMOVE_SAMPLES, _KEYS, *which))
        with self._redis() as client:
            _write_files_anew(client, self.name)
        return gone

    def _all_samples(self) -> Iterator[tuple[Sample, bytes]]:
        ids, words, pictures, *_ = map(self._key, _KEYS)
        for name in self._ask("ZRANGE", ids, 0, -1):
            text, picture = self._ask_together(("HGET", words, name), ("HGET", pictures, name))
            if text is not None and picture is not None:
                with self._redis():
                    sample = sample_from(text)
                yield sample, picture


def _write_files_anew(client: Client, name: str) -> None:
    """A Redis that is somebody else's to look after may refuse this; its files follow when it next writes them."""
    try:
        if client.execute_command("INFO", "persistence").get("aof_enabled"):
            client.execute_command("BGREWRITEAOF")
        if client.execute_command("CONFIG GET", "save").get("save"):
            client.execute_command("BGSAVE", "SCHEDULE")
    except redis.ResponseError as error:
        logger.warning(
            "samples are removed from %s; its own files may hold them for a while: %s", name, error
        )
