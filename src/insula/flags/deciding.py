"""A flag as a function of subject and context: one layer for each thing that is written of it, and none for others."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Any

from insula.flags.buckets import hash_limit, murmur3, seed_of
from insula.flags.counting import Counters
from insula.flags.errors import FlagError
from insula.flags.flag import ON, Flag, shares_of
from insula.flags.flagset import FlagSet
from insula.flags.outcome import ErrorCode, NoOutcome, Outcome, Reason
from insula.flags.targeting import Targeting
from insula.kernel.clock import Clock
from insula.rules.errors import EvaluationError

_ANSWERS = frozenset((str, bool))
MISSING = object()
"""The value of an outcome in whose place the code's default is taken."""

Decide = Callable[[Any, dict[str, Any]], Outcome]


class Compiler:
    """Makes flags ready. Parameters: `clock`, for flags with a time; `counters`, which outcomes count themselves in."""

    def __init__(self, clock: Clock, counters: Counters) -> None:
        self._clock = clock
        self._counters = counters

    def compiled(self, flags: FlagSet) -> dict[str, Decide]:
        """Each flag as a function that may raise `NoOutcome`, and whatever odd subjects and contexts raise."""
        ready: dict[str, Decide] = {}
        for key in flags.order:
            ready[key] = _Layers(key, flags[key], self._clock, self._counters).over(flags.targeting.get(key), ready)
        return ready


class _Layers:
    """The layers of one flag, the innermost first."""

    def __init__(self, key: str, flag: Flag, clock: Clock, counters: Counters) -> None:
        self._key = key
        self._flag = flag
        self._clock = clock
        self._counters = counters

    def over(self, targeting: Targeting | None, others: Mapping[str, Decide]) -> Decide:
        """The whole of it; `others` are the flags that come first."""
        flag = self._flag
        if flag.killed:
            return _always(self._outcome(flag.off_variant, Reason.DISABLED))
        if flag.disabled:
            return _always(self._outcome(None, Reason.DISABLED))
        static = not (targeting or flag.shares or flag.allowed or flag.since or flag.until or flag.prerequisites)
        default = self._outcome(
            flag.default_variant, Reason.STATIC if static and flag.default_variant is not None else Reason.DEFAULT
        )
        split = self._split(flag.shares, default) if flag.shares else None
        decide = split or _always(default)
        if targeting is not None:
            decide = self._targeted(targeting, split, default)
        if flag.since is not None or flag.until is not None:
            decide = self._timed(decide)
        if flag.allowed:
            decide = self._allowing(decide)
        if flag.prerequisites:
            decide = self._after(others, decide)
        return decide

    def _outcome(self, variant: str | None, reason: Reason) -> Outcome:
        value = MISSING if variant is None else self._flag.variants[variant]
        return Outcome(value, variant, reason, self._counters.of(self._key, variant))

    def _split(self, shares: Mapping[str, int], rest: Outcome) -> Decide:
        """A rollout. Its limits are of hashes, so that no bucket has to be computed."""
        seed, hashed = seed_of(self._flag.salt or self._key), murmur3()
        limits = [hash_limit(parts) for parts in accumulate(shares.values())]
        outcomes = [self._outcome(variant, Reason.SPLIT) for variant in shares]
        if rest.variant is not None:
            rest = self._outcome(rest.variant, Reason.SPLIT)
        outcomes.append(rest)
        if len(limits) == 1:
            return _Halves(seed, limits[0], *outcomes)

        def split(subject: Any, _context: dict[str, Any]) -> Outcome:
            return outcomes[bisect_right(limits, hashed(subject_text(subject).encode(), seed))]

        return split

    def _targeted(self, targeting: Targeting, split: Decide | None, default: Outcome) -> Decide:
        answers = self._answers(targeting, split, default)
        answer_of, about = targeting.rule.answer, targeting.about

        def otherwise(subject: Any, context: dict[str, Any]) -> Outcome:
            return self._of_another_answer(targeting, about(subject, context), default)(subject, context)

        when_true = answers.get(True, otherwise)
        halves = next((each for each in answers.values() if isinstance(each, _Halves)), None)
        if halves is None:
            seed = limit = 0
            first = rest = default
        else:
            seed, limit, first, rest = halves.seed, halves.limit, halves.first, halves.rest
            hashed = halves.hashed

        def targeted(subject: Any, context: dict[str, Any]) -> Outcome:
            try:
                answer = answer_of(context)
                # 1 and 0.0 would be found as well, and are no answers
                found = when_true if answer is True else answers[answer] if answer.__class__ in _ANSWERS else otherwise
            except Exception:  # no answer, or one that has to be looked at: there it is seen again
                found = otherwise
            if found is halves and subject.__class__ is str and subject:  # as `_Halves` does, without calling it
                return first if hashed(subject.encode(), seed) < limit else rest
            return found if found.__class__ is Outcome else found(subject, context)  # type: ignore[operator]

        if not targeting.names_subject:
            return targeted
        return lambda subject, context: targeted(subject, about(subject, context))

    def _of_another_answer(self, targeting: Targeting, context: dict[str, Any], default: Outcome) -> Decide:
        """What an answer means that is no constant, or that there is none."""
        flag, key = self._flag, self._key
        try:
            answer = targeting.rule.answer(context)
        except EvaluationError as error:
            if targeting.speaks_not(error, context):
                return _always(default)
            raise NoOutcome(ErrorCode.INVALID_CONTEXT, f"flag {key}: targeting: {error}") from None
        if isinstance(answer, dict):
            return self._split(_checked_shares(answer, flag, key), default)
        shown, names = repr(answer)[:100], ", ".join(flag.variants)
        raise NoOutcome(ErrorCode.GENERAL, f"flag {key}: targeting answers {shown}; the variants are {names}")

    def _answers(self, targeting: Targeting, split: Decide | None, default: Outcome) -> dict[Any, Outcome | Decide]:
        """What each answer of the targeting that is a text or a truth value means."""
        answers: dict[Any, Outcome | Decide] = {
            variant: self._outcome(variant, Reason.TARGETING_MATCH) for variant in self._flag.variants
        }
        answers[""] = answers[False] = default
        if split is not None:
            answers[True] = split
        elif ON in self._flag.variants:
            answers[True] = answers[ON]
        answers.update((name, self._split(shares, default)) for name, shares in targeting.rollouts.items())
        return answers

    def _timed(self, within: Decide) -> Decide:
        since, until, clock = self._flag.since, self._flag.until, self._clock
        off = self._outcome(self._flag.off_variant, Reason.DISABLED)

        def timed(subject: Any, context: dict[str, Any]) -> Outcome:
            now = clock.now()
            if (since is not None and now < since) or (until is not None and now >= until):
                return off
            return within(subject, context)

        return timed

    def _allowing(self, within: Decide) -> Decide:
        outcomes = {variant: self._outcome(variant, Reason.TARGETING_MATCH) for variant in self._flag.variants}
        allowed = {subject: outcomes[variant] for subject, variant in self._flag.allowed.items()}

        def allowing(subject: Any, context: dict[str, Any]) -> Outcome:
            found = (
                None if subject is None else allowed.get(subject if subject.__class__ is str else subject_text(subject))
            )
            return within(subject, context) if found is None else found

        return allowing

    def _after(self, others: Mapping[str, Decide], within: Decide) -> Decide:
        first = [(others[key], frozenset(variants)) for key, variants in self._flag.prerequisites.items()]
        off = self._outcome(self._flag.off_variant, Reason.PREREQUISITE_FAILED)

        def after(subject: Any, context: dict[str, Any]) -> Outcome:
            for decide, wanted in first:
                try:
                    if decide(subject, context).variant not in wanted:
                        return off
                except Exception:  # what cannot be told has not come to what it must
                    return off
            return within(subject, context)

        return after


class _Halves:
    """A rollout of one variant. Parameters: `limit`, below which hashes get the first; the others get the rest."""

    __slots__ = ("first", "hashed", "limit", "rest", "seed")

    def __init__(self, seed: int, limit: int, first: Outcome, rest: Outcome) -> None:
        self.seed, self.limit, self.first, self.rest = seed, limit, first, rest
        self.hashed = murmur3()

    def __call__(self, subject: Any, _context: dict[str, Any]) -> Outcome:
        hashed = self.hashed(subject_text(subject).encode(), self.seed)
        return self.first if hashed < self.limit else self.rest


class _Always:
    __slots__ = ("outcome",)

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome

    def __call__(self, _subject: Any, _context: dict[str, Any]) -> Outcome:
        return self.outcome


def _always(outcome: Outcome) -> Decide:
    return _Always(outcome)


def is_static(decide: Decide) -> bool:
    """Whether a flag says the same to everybody, whatever it is asked about."""
    return isinstance(decide, _Always)


def subject_text(subject: Any) -> str:
    """Who is asked about, as text. Raises `NoOutcome` where nobody is."""
    kind = subject.__class__
    if subject is None or subject == "":
        raise NoOutcome(ErrorCode.TARGETING_KEY_MISSING, "a rollout needs to know about whom it is asked")
    if kind is str:
        return subject  # type: ignore[no-any-return]
    # A UUID is known by its name: nothing here can make one.
    if (kind is not bool and isinstance(subject, str | int)) or (kind.__module__, kind.__name__) == ("uuid", "UUID"):
        return str(subject)
    raise NoOutcome(
        ErrorCode.INVALID_CONTEXT, f"a subject is a str, an int or a UUID, not a {kind.__name__}: its text may change"
    )


def _checked_shares(answer: dict[Any, Any], flag: Flag, key: str) -> dict[str, int]:
    try:
        for variant in answer:
            flag.check_variant(variant, "targeting")
        return shares_of(answer)
    except FlagError as error:
        raise NoOutcome(ErrorCode.GENERAL, f"flag {key}: {error}") from None
