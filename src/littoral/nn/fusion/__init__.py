"""The fusions: how the features of the branches become one vector, or their opinions one. One file each."""
