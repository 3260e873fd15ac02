"""Raw images -> the pixels a network was trained on, as an ONNX graph: Pillow's arithmetic, not an operator like it.

`images/decode.py` is the reference, and the graph gives its pixels to the level. ONNX's own Resize does not: it is up
to 21 levels away as it comes, and one level on some pixels at best, which is enough to change a doubtful answer. So
resizing is written out as what it is, one matrix a side, in double precision, where Pillow's sums of whole numbers are
exact. Leaves to others: the network (network.py), and joining both (onnx_file.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from littoral.specs import ImageSpec

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

OPSET, IR_VERSION = 18, 8
"""Of all files written: what runtimes from 2023 on read."""

IMAGES, PIXELS = "images", "pixels"
"""What goes in, uint8 (batch, height, width, 1 or 3), and what comes out, uint8 (batch, height, width, channels)."""

_CONSTANTS = """
    double half = {0.5}, double one = {1.0}, double nought = {0.0}, double two = {2.0}, double most = {255.0},
    double units = {4194304.0}, double half_units = {2097152.0},
    int64 whole_nought = {0}, int64 whole_one = {1}, int64 whole_two = {2}, int64 whole_three = {3},
    int64[1] first = {0}, int64[1] column = {1}, int64[1] places = {2}, int64[1] last = {3}, int64[2] none = {0, 0},
    float[3] luma = {19595.0, 38470.0, 7471.0}, float rounding = {32768.0}, float parts = {65536.0},
    int64[3] as_pixels = {0, 0, -1}, int64[4] as_colour = {1, 1, 1, 3}"""
"""Pillow rounds a weight to so many `units` of 1."""

_LENGTHS = """
    planes = Transpose <perm = [0, 3, 1, 2]> (coloured)
    high = Gather (own, whole_nought)
    wide = Gather (own, whole_one)
    high_exact = Cast <to = 11> (high)
    wide_exact = Cast <to = 11> (wide)
    down_share = Div (height, high_exact)
    across_share = Div (width, wide_exact)"""
"""The image's sides, whole and exact, and how large the output is beside each."""

_STRETCHED = """
    rows = Identity (height)
    columns = Identity (width)
    top = Identity (nought)
    left = Identity (nought)"""

_CROPPED = """
    share = Max (down_share, across_share)
    rows = Identity (height)
    columns = Identity (width)
    seen_down = Div (height, share)
    over_down = Sub (high_exact, seen_down)
    half_down = Div (over_down, two)
    top = Max (half_down, nought)
    seen_across = Div (width, share)
    over_across = Sub (wide_exact, seen_across)
    half_across = Div (over_across, two)
    left = Max (half_across, nought)"""

_WHOLE = """
    share = Min (down_share, across_share)
    wanted_rows = Mul (high_exact, share)
    round_rows = Round (wanted_rows)
    rows = Max (round_rows, one)
    wanted_columns = Mul (wide_exact, share)
    round_columns = Round (wanted_columns)
    columns = Max (round_columns, one)
    top = Identity (nought)
    left = Identity (nought)"""
"""All three: `rows` and `columns` to resize to, and how much of the image's `top` and `left` is cut off."""

_RESIZED = """
    exact = Cast <to = 11> (planes)
    across_sums = MatMul (exact, across_weights)
    across_more = Add (across_sums, half_units)
    across_shifted = Div (across_more, units)
    across_floor = Floor (across_shifted)
    across_levels = Clip (across_floor, nought, most)
    down_sums = MatMul (down_weights, across_levels)
    down_more = Add (down_sums, half_units)
    down_shifted = Div (down_more, units)
    down_floor = Floor (down_shifted)
    resized = Clip (down_floor, nought, most)"""
"""Across, then down; each pass gives levels, by Pillow's (sum + half) >> 22."""

_PADDED = """
    before_last = Sub (high, whole_one)
    last_or_next = Max (before_last, whole_one)
    last_start = Mul (last_or_next, wide)
    count = Mul (high, wide)
    inner_end = Mul (before_last, wide)
    twice = Mul (wide, whole_two)
    right_start = Sub (twice, whole_one)
    columns_before_last = Sub (wide, whole_one)
    any_left = Min (columns_before_last, whole_one)
    left_end = Mul (inner_end, any_left)
    upper = Range (whole_nought, wide, whole_one)
    lower = Range (last_start, count, whole_one)
    righter = Range (right_start, inner_end, wide)
    lefter = Range (wide, left_end, wide)
    outermost = Concat <axis = 0> (upper, lower, righter, lefter)
    listed = Reshape (planes, as_pixels)
    border = Gather <axis = 2> (listed, outermost)
    border_exact = Cast <to = 11> (border)
    border_mean = ReduceMean <keepdims = 1> (border_exact, places)
    border_level = Round (border_mean)
    level = Unsqueeze (border_level, last)
    apart = Sub (resized, level)
    whole_rows = Cast <to = 7> (rows)
    whole_columns = Cast <to = 7> (columns)
    listed_rows = Unsqueeze (whole_rows, first)
    listed_columns = Unsqueeze (whole_columns, first)
    filled = Concat <axis = 0> (listed_rows, listed_columns)
    missing = Sub (sides, filled)
    before = Div (missing, whole_two)
    after = Sub (missing, before)
    pads = Concat <axis = 0> (none, before, none, after)
    laid = Pad (apart, pads, nought)
    fitted = Add (laid, level)"""
"""The rest takes the border's mean. Pad lays one number around all images, so each has its own mean at 0 meanwhile."""


def preprocessing(spec: ImageSpec) -> ModelProto:
    """The graph for images of any size, one size a batch, of 1 or 3 channels whatever the model's are.

    Grey is (19595 R + 38470 G + 7471 B + 32768) >> 16, taken before resizing. A pixel of the output is a sum over a
    triangle's width of the input's, across first, then down, each rounded to a level. With `pad` the rest is filled
    with the mean of the image's outermost pixels. An image of the right size comes out as it is, and one that has the
    right channels too meets one `If` alone: these cost a call each, as much as a small network's layer.
    """
    from onnx import parser

    h, w, c = spec.height, spec.width, spec.channels
    way = {"stretch": _STRETCHED, "crop": _CROPPED, "pad": _WHOLE}[spec.resize]
    padded = _PADDED if spec.resize == "pad" else "fitted = Identity (resized)"
    model = parser.parse_model(
        f"""
        <ir_version: {IR_VERSION}, opset_import: ["" : {OPSET}]>
        preprocessing (uint8[batch, height, width, channels] {IMAGES}) => (uint8[batch, {h}, {w}, {c}] {PIXELS})
        <int64[2] sides = {{{h}, {w}}}, int64[3] form = {{{h}, {w}, {c}}}, double height = {{{h}.0}},
         double width = {{{w}.0}}, {_CONSTANTS}>
        {{
            whole = Shape <start = 1> ({IMAGES})
            {_same("ready", "whole", "form")}
            {PIXELS} = If (ready) <
                then_branch = untouched () => (uint8[batch, {h}, {w}, {c}] as_they_are) {{
                    as_they_are = Identity ({IMAGES})
                }},
                else_branch = brought () => (uint8[batch, {h}, {w}, {c}] shaped) {{
                    {_grey() if c == 1 else f"coloured = Identity ({IMAGES})"}
                    own = Shape <start = 1, end = 3> (coloured)
                    {_same("same", "own", "sides")}
                    sized = If (same) <
                        then_branch = kept_size () => (uint8[batch, {h}, {w}, own_channels] kept) {{
                            kept = Identity (coloured)
                        }},
                        else_branch = fit () => (uint8[batch, {h}, {w}, fit_channels] made) {{
                            {_LENGTHS}
                            {way}
                            {_weights("across", "wide", "left", "columns", across=True)}
                            {_weights("down", "high", "top", "rows", across=False)}
                            {_RESIZED}
                            {padded}
                            levels = Cast <to = 2> (fitted)
                            made = Transpose <perm = [0, 2, 3, 1]> (levels)
                        }}
                    >
                    shaped = {"Identity (sized)" if c == 1 else "Expand (sized, as_colour)"}
                }}
            >
        }}
        """
    )
    used = set(_inputs(model.graph))
    for constant in [constant for constant in model.graph.initializer if constant.name not in used]:
        model.graph.initializer.remove(constant)
    return model


def _inputs(graph: GraphProto) -> Iterator[str]:
    """The names of what the nodes of a graph, and of those inside it, take."""
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            yield from _inputs(attribute.g)


def _same(name: str, own: str, form: str) -> str:
    """`NAME`: whether two lists of whole numbers are the same."""
    return f"""
        {name}_each = Equal ({own}, {form})
        {name}_number = Cast <to = 7> ({name}_each)
        {name}_least = ReduceMin <keepdims = 0> ({name}_number)
        {name} = Cast <to = 9> ({name}_least)"""


def _grey() -> str:
    """`coloured`: the images with one channel. All numbers are whole and below 2^24, so float32 holds them exactly."""
    return f"""
        shape = Shape ({IMAGES})
        channels_own = Gather (shape, whole_three)
        has_colour = Equal (channels_own, whole_three)
        coloured = If (has_colour) <
            then_branch = to_grey () => (uint8[batch, height, width, 1] grey) {{
                colours = Cast <to = 1> ({IMAGES})
                weighed = Mul (colours, luma)
                total = ReduceSum <keepdims = 1> (weighed, last)
                more = Add (total, rounding)
                divided = Div (more, parts)
                floored = Floor (divided)
                grey = Cast <to = 2> (floored)
            }},
            else_branch = is_grey () => (uint8[batch, height, width, one_channel] kept_grey) {{
                kept_grey = Identity ({IMAGES})
            }}
        >"""


def _weights(name: str, side: str, cut: str, outputs: str, across: bool) -> str:
    """`NAME_weights`, outputs × side, or side × outputs where `across`: how much of each pixel goes into each output.

    `precompute_coeffs` of Pillow's Resample.c, whose ends of the part that is kept are float32.
    """
    axis = ("first", "column")
    return f"""
        {name}_start = Cast <to = 1> ({cut})
        {name}_end_exact = Sub ({side}_exact, {cut})
        {name}_end = Cast <to = 1> ({name}_end_exact)
        {name}_span = Sub ({name}_end, {name}_start)
        {name}_span_exact = Cast <to = 11> ({name}_span)
        {name}_start_exact = Cast <to = 11> ({name}_start)
        {name}_scale = Div ({name}_span_exact, {outputs})
        {name}_reach = Max ({name}_scale, one)
        {name}_narrow = Div (one, {name}_reach)
        {name}_numbers = Range (nought, {outputs}, one)
        {name}_middles = Add ({name}_numbers, half)
        {name}_along = Mul ({name}_middles, {name}_scale)
        {name}_centres = Add ({name}_along, {name}_start_exact)
        {name}_listed = Unsqueeze ({name}_centres, {axis[1 - across]})
        {name}_pixels = Range (nought, {side}_exact, one)
        {name}_places = Unsqueeze ({name}_pixels, {axis[across]})
        {name}_apart = Sub ({name}_places, {name}_listed)
        {name}_from_middle = Add ({name}_apart, half)
        {name}_scaled = Mul ({name}_from_middle, {name}_narrow)
        {name}_distance = Abs ({name}_scaled)
        {name}_falling = Sub (one, {name}_distance)
        {name}_triangle = Max ({name}_falling, nought)
        {name}_area = ReduceSum <keepdims = 1> ({name}_triangle, {axis[1 - across]})
        {name}_shares = Div ({name}_triangle, {name}_area)
        {name}_units = Mul ({name}_shares, units)
        {name}_raised = Add ({name}_units, half)
        {name}_weights = Floor ({name}_raised)"""
