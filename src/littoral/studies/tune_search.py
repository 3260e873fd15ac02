"""The search itself: what to try next, which candidates go on, and when it ends. Optuna decides the first two.

A candidate is trained fold after fold, and given up where, with as many folds, it is not among the better half
(asynchronous successive halving; Li et al., MLSys 2020): the folds are the rungs. Each is drawn from the seed, its
number and what was known by then, so that a search that was cut off goes on as it would have.

Where the search goes is `tune_space.py`, what a job is `tune_jobs.py`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from littoral.errors import InputError
from littoral.studies.tune_jobs import Job, Outcome, Workers
from littoral.studies.tune_result import Candidate, Fate
from littoral.studies.tune_space import Limits, Space
from littoral.words import count

if TYPE_CHECKING:
    from optuna.trial import Trial

HALVES = 2
"""One of so many candidates goes on from each rung."""

PATIENCE = 20
"""So many times the candidates asked for are looked at, at most, since those beyond the limits do not count."""

BARREN = 100
"""Where so many candidates were refused and none was trained, none is expected to be within the limits."""

RESERVE = 1.25
"""Part of the time is kept for the last training: as long as the folds of the best take, by this."""

TIME_UP = "time was up"
"""Why a candidate is stopped that would go on in a search with more time."""


@dataclass(frozen=True)
class Ends:
    """A search ends after so many seconds, the last training in them, or so many candidates; None: not by that."""

    seconds: float | None
    candidates: int | None


class Search:
    """Candidates in the order in which they were asked for, and what has become of them so far.

    `folds`: how many there are; `start`: when the clock of its end began, by `time.monotonic`. `keep` is told each
    candidate whenever there is something new of it, with the seconds that the search has taken; `on_candidate` each one
    that is settled, those of earlier calls first.
    """

    def __init__(
        self,
        space: Space,
        limits: Limits,
        folds: int,
        seed: int,
        ends: Ends,
        start: float,
        keep: Callable[[Candidate, float], None],
        on_candidate: Callable[[Candidate], None],
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=HALVES)
        self.study = optuna.create_study(direction="maximize", pruner=pruner)
        self.space, self.limits, self.folds, self.seed, self.ends = space, limits, folds, seed, ends
        self.keep, self.on_candidate = keep, on_candidate
        self.candidates: dict[int, Candidate] = {}
        self.trials: dict[int, Trial] = {}
        self.waiting: deque[int] = deque()
        self.start, self.before = start, 0.0

    @property
    def seconds(self) -> float:
        """What the search has taken, with earlier calls."""
        return self.before + time.monotonic() - self.start

    def restore(self, candidates: Sequence[Candidate], seconds: float) -> None:
        """Go on from candidates of an earlier call, and the seconds that it took.

        Raises InputError for one that would not be what it is by the code of now.
        """
        self.before = seconds
        for candidate in candidates:
            self.study.enqueue_trial(dict(candidate.asked))
            trial = self.study.ask()
            if self.space.suggested(trial) != candidate.variant:
                raise InputError(f"candidate {candidate.number} there is of other code: name another folder")
            self.candidates[candidate.number], self.trials[candidate.number] = candidate, trial
            for done in range(1, len(candidate.folds) + 1):
                trial.report(float(np.mean(candidate.folds[:done])), done)
                trial.should_prune()  # it is known whether it went on, but others will be compared with it
            if candidate.fate == "begun":
                self.waiting.append(candidate.number)
            else:
                self._tell(candidate)
                self.on_candidate(candidate)

    def run(self, workers: Workers) -> None:
        """Have jobs done, as many at once as there are places, until the search has ended."""
        under_way = 0
        while True:
            while under_way < workers.places() and (job := self._next()) is not None:
                workers.begin(job)
                under_way += 1
            if not under_way:
                return
            self._hear(*workers.finished())
            under_way -= 1

    def _next(self) -> Job | None:
        """A job for a candidate that waits for one, or else for a new one; None where nothing more is to begin."""
        while self.waiting:
            candidate = self.candidates[self.waiting.popleft()]
            if candidate.price is None:
                return Job(candidate.number, candidate.variant, None)
            if self._needed(candidate) or self._time_for(candidate.seconds / max(len(candidate.folds), 1)):
                return Job(candidate.number, candidate.variant, len(candidate.folds))
            self._settle(candidate, "stopped", TIME_UP)
        if self._enough():
            return None
        candidate = self._ask()
        return Job(candidate.number, candidate.variant, None)

    def _ask(self) -> Candidate:
        """A new candidate, of the first number that is free; number 0 is the preset itself."""
        from optuna.samplers import TPESampler

        number = min(set(range(len(self.candidates) + 1)) - self.candidates.keys())
        if number == 0:
            self.study.enqueue_trial(dict(self.space.first()))
        own = int(np.random.SeedSequence((self.seed, number)).generate_state(1)[0])
        self.study.sampler = TPESampler(seed=own)
        trial = self.study.ask()
        candidate = Candidate(number, self.space.suggested(trial), None, (), "begun", asked=dict(trial.params))
        self.trials[number] = trial
        self._note(candidate)
        return candidate

    def _hear(self, job: Job, outcome: Outcome) -> None:
        """What came of a job, and so of its candidate."""
        candidate = self.candidates[job.number]
        candidate = replace(candidate, seconds=round(candidate.seconds + outcome.seconds, 3))
        if outcome.price is not None:
            candidate = replace(candidate, price=outcome.price)
            self._go_on(candidate, "refused", self.limits.passed(outcome.price))
        elif outcome.accuracy is not None:
            candidate = replace(candidate, folds=(*candidate.folds, outcome.accuracy))
            self._judge(candidate)
        else:
            self._go_on(candidate, "refused" if candidate.price is None else "stopped", outcome.failure)

    def _judge(self, candidate: Candidate) -> None:
        """A candidate with one more fold: whole, given up, or to go on."""
        trial, done = self.trials[candidate.number], len(candidate.folds)
        trial.report(candidate.accuracy, done)
        behind = trial.should_prune()
        if done == self.folds:
            self._settle(candidate, "whole", "")
        else:
            given_up = behind and not self._needed(candidate)
            reason = f"others did better on {done} of {count(self.folds, 'fold')}" if given_up else None
            self._go_on(candidate, "stopped", reason)

    def _go_on(self, candidate: Candidate, fate: Fate, reason: str | None) -> None:
        """It waits for its next job, or, where there is a reason, has come to its fate."""
        if reason is not None:
            self._settle(candidate, fate, reason)
            return
        self.waiting.append(candidate.number)
        self._note(candidate)

    def _settle(self, candidate: Candidate, fate: Fate, reason: str) -> None:
        settled = replace(candidate, fate=fate, reason=reason)
        self._tell(settled)
        if reason == TIME_UP:  # what is kept of it goes on when there is time again
            self.candidates[candidate.number] = settled
        else:
            self._note(settled)
        self.on_candidate(settled)

    def _tell(self, candidate: Candidate) -> None:
        """Tell Optuna what a candidate came to; one that was refused counts as worse than all that were trained."""
        from optuna.trial import TrialState

        whole = candidate.fate == "whole"
        state = TrialState.COMPLETE if whole else TrialState.PRUNED
        self.study.tell(self.trials[candidate.number], candidate.accuracy if whole else None, state)

    def _note(self, candidate: Candidate) -> None:
        self.candidates[candidate.number] = candidate
        self.keep(candidate, self.seconds)

    def _needed(self, candidate: Candidate) -> bool:
        """Whether it gets all its folds, whatever they and the clock say: there has to be one that does."""
        earlier = (one for one in self.candidates.values() if one.number < candidate.number)
        return not any(one.fate in ("begun", "whole") for one in earlier)

    def _enough(self) -> bool:
        """Whether no new candidate is to be tried."""
        most = self.ends.candidates
        counted = sum(bool(one.folds) or one.fate == "begun" for one in self.candidates.values())
        if most is not None and (counted >= most or len(self.candidates) >= PATIENCE * most):
            return True
        if not counted and len(self.candidates) >= BARREN:
            return True
        those = [one.seconds / len(one.folds) for one in self.candidates.values() if one.folds]
        return bool(self.candidates) and not self._time_for(float(np.mean(those or [0.0])))

    def _time_for(self, seconds: float) -> bool:
        """Whether a training of so many seconds would leave time for the last one."""
        if self.ends.seconds is None:
            return True
        whole = [one.seconds for one in self.candidates.values() if one.fate == "whole"]
        last = RESERVE * max(whole, default=0.0) / (self.folds - 1)  # a fold's steps are those of the last training
        return self.seconds + seconds + last < self.ends.seconds
