"""Files and arrays -> uint8 images, labels and splits. Needs no torch."""
