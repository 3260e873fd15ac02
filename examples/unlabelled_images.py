"""Few labels and many images without one: what the latter bring, and when they are left alone.

Takes about half a minute: two trainings on 100 labelled digits, one of them with 900 more that have no label.
"""

# %% 100 labels, ten of each digit
import numpy as np

import littoral as lt
from littoral.images.splits import label_budget

data = lt.load_mnist()
pool = data.subset(np.arange(1_000))
test = slice(60_000, 62_000)
labelled = label_budget(pool.labels, per_class=10, seed=0)  # rows, the same number of each class

# %% y is None where nobody knows the label
y = np.full(len(pool.labels), None, dtype=object)
y[labelled] = pool.labels[labelled]
print(f"{len(labelled)} images with a label, {len(y) - len(labelled)} without")

few = {"preset": "few", "steps": 60, "random_state": 0}
alone = lt.FusionClassifier(**few).fit(pool.images[labelled], pool.labels[labelled])
both = lt.FusionClassifier(**few).fit(pool.images, y)
for name, classifier in (("labels alone", alone), ("and unlabelled images", both)):
    print(f"{name:22} {100 * classifier.score(data.images[test], data.labels[test]):.1f} % of the test images")

# %% A check on held-out labels decides whether they are used at all
found = both.model_.record["unlabelled"]
used = "used" if found["used"] else "left out"
print(f"of {found['held_out']} held-out labels {found['alone']} were right without, {found['spread']} with: {used}")
