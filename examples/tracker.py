"""A training followed by a tracker of experiments: five lines for MLflow, or any other.

The tracker here keeps what it is told in a list, so that nothing has to be installed; comments say what MLflow takes.
"""

# %% The five lines
import littoral as lt
from littoral.studies.running import one_by_one


class Tracker(lt.Observer):
    """It writes the methods that it wants; an observer changes nothing of the training."""

    def __init__(self):
        self.rows = []  # mlflow.start_run()

    def on_epoch(self, record):
        """After each epoch."""
        self.rows.append(
            {"step": record.step, "loss": record.loss}
        )  # mlflow.log_metrics({"loss": …}, step=record.step)


# %% One training
data = lt.load_mnist()
X, y = data.images[:1000], data.labels[:1000]
tracker = Tracker()
classifier = lt.FusionClassifier(preset="tiny", epochs=3, random_state=0).fit(X, y, observer=tracker)
for row in tracker.rows:
    print(row)
print(f"{classifier.model_.record['train_seconds']} s of training")

# %% All trainings of a comparison, each with a tracker of its own
trackers = {}


def follow(task):
    """The observer of one run."""
    trackers[task.name, task.seed] = Tracker()
    return trackers[task.name, task.seed]


settings = {"preset": "tiny", "arms": ["fused", "deep"], "seeds": 1, "steps": 50, "labels_per_class": 20}
lt.compare(data, **settings, runner=one_by_one(follow))
print(f"followed: {', '.join(f'{arm} with seed {seed}' for arm, seed in trackers)}")
