"""Makes article_keras_training.npz: what Keras's Adam makes of the published network in five steps.

Needs tensorflow-cpu in an environment of its own; the test reads only the stored result. Weights as
article_keras.json describes, biases zero; batches of 128 are MNIST's first 640 training images in order.

    python make_keras_training.py MNIST_DIR
"""

import gzip
import json
import pathlib
import sys

import numpy as np
import tensorflow as tf
from tensorflow.keras import layers as L

HERE = pathlib.Path(__file__).parent
STEPS = 5


def idx(name, offset, shape):
    raw = gzip.decompress((pathlib.Path(sys.argv[1]) / name).read_bytes())
    return np.frombuffer(raw, np.uint8, offset=offset).reshape(shape)


def branch(widths, dense):
    inputs = out = L.Input((28, 28, 1))
    for width in widths:
        out = L.MaxPooling2D(2)(L.Conv2D(width, 3, activation="relu", padding="same")(out))
    return inputs, L.Dense(dense, activation="relu")(L.Flatten()(out))


x = idx("train-images-idx3-ubyte.gz", 16, (-1, 28, 28, 1)).astype("float32") / 255
y = idx("train-labels-idx1-ubyte.gz", 8, -1)
test = idx("t10k-images-idx3-ubyte.gz", 16, (-1, 28, 28, 1))[:64].astype("float32") / 255
shallow, deep = branch([32, 64], 128), branch([32, 64, 128], 256)
net = tf.keras.Model([shallow[0], deep[0]], L.Dense(10, activation="softmax")(L.Concatenate()([shallow[1], deep[1]])))

rng = np.random.RandomState(20240122)
made = {}
for name, kernel, bias in json.loads((HERE / "article_keras.json").read_text())["layers"]:
    weight = (rng.standard_normal(kernel) / np.sqrt(np.prod(kernel[:-1]))).astype("float32")
    rng.standard_normal(bias)
    made[name] = [weight, np.zeros(bias, "float32")]


def along(tensor):
    """The layers of one branch that hold weights, from the image on."""
    path = []
    while tensor is not None:
        layer = tensor._keras_history.operation
        if layer.weights:
            path.insert(0, layer)
        tensor = layer.input if not isinstance(layer, L.InputLayer) else None
    return path


for prefix, (_, out) in (("shallow", shallow), ("deep", deep)):
    names = [name for name in made if name.startswith(prefix)]
    for name, layer in zip(names, along(out), strict=True):
        layer.set_weights(made[name])
net.layers[-1].set_weights(made["output"])

net.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
losses = [
    float(net.train_on_batch([x[i : i + 128]] * 2, y[i : i + 128], return_dict=True)["loss"])
    for i in range(0, STEPS * 128, 128)
]
np.savez_compressed(
    HERE / "article_keras_training.npz",
    probabilities=net.predict([test, test], verbose=0),
    output_kernel=net.layers[-1].get_weights()[0],
    losses=losses,
    steps=STEPS,
)
print("losses:", losses)
