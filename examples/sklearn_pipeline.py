"""littoral inside scikit-learn: cross-validation, a search over parameters, and features in a pipeline.

The images are scikit-learn's own digits, 8 × 8 pixels, so that it takes less than a minute.
"""

# %% A FusionClassifier is judged like any other classifier
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline

import littoral as lt

X, y = load_digits(return_X_y=True)  # (1797, 64), floats from 0 to 16: flattened, and not scaled by anybody
X, y = X[:600], y[:600]
folds = StratifiedKFold(3, shuffle=True, random_state=0)

classifier = lt.FusionClassifier(preset="tiny", steps=150, random_state=0)
scores = cross_val_score(classifier, X, y, cv=folds)
print(f"FusionClassifier: {scores.mean():.3f} ± {scores.std():.3f}")

# %% Its parameters are searched like any other's
search = GridSearchCV(classifier, {"arm": ["fused", "deep", "shallow"]}, cv=folds).fit(X, y)
for arm, score in zip(search.cv_results_["param_arm"], search.cv_results_["mean_test_score"], strict=True):
    print(f"arm {arm:8} {score:.3f}")

# %% Features without training, for any classifier
pipeline = make_pipeline(lt.FusionFeatures(standardise=True), LogisticRegression(C=0.01, max_iter=1000))
scores = cross_val_score(pipeline, X, y, cv=folds)
print(f"FusionFeatures and logistic regression: {scores.mean():.3f} ± {scores.std():.3f}")
