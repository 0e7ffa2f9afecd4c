"""The numbers of SSIMULACRA 2 and of MS-SSIM: what training (PyTorch) and refinement (graphs) compute them with.

SSIMULACRA 2: Cloudinary, https://github.com/cloudinary/ssimulacra2. MS-SSIM: Wang, Simoncelli and Bovik 2003.
"""

from __future__ import annotations

__all__ = [
    "BIAS",
    "CONES",
    "CONTRAST",
    "LUMINANCE",
    "MS_SSIM_WEIGHTS",
    "POLYNOMIAL",
    "POWER",
    "RADIUS",
    "SIGMA",
    "SMALLEST",
    "STRUCTURE",
    "TOTAL",
    "WEIGHTS",
]

# SSIMULACRA 2 -------------------------------------------------------------------------------------------------------

# By scale, finest first, and by channel (0: X, red against green; 1: Y, light; 2: B − Y, blue): the weights of the
# mean and of the 4-norm (each in that order: of structure, ringing, blur) of the three maps. The metric has 108
# weights, six scales of three channels; those that are left out here are below 0.01, where the others reach 225, and
# with them the sixth scale and half of the others' channels.
WEIGHTS: tuple[dict[int, tuple[float, ...]], ...] = (
    {1: (0, 0, 0, 7.466890328078848, 0, 17.445833984131262)},
    {
        0: (0, 0, 0, 1.1041726426657346, 0, 0),
        1: (0, 0, 0, 6.683678146179332, 0, 1.027889937768264),
    },
    {
        0: (0, 0, 0, 1.8422455520539298, 11.441172603757666, 0),
        1: (225.20515300849274, 0, 0, 19.213238186143016, 0, 0),
    },
    {
        0: (0, 0, 0, 1.8787594979546387, 10.94906990605142, 0),
        1: (176.39317598450694, 0, 0, 24.43300999870476, 0.28520802612117757, 0),
        2: (0, 0, 0, 8.826982764996862, 23.19243343998926, 0),
    },
    {
        0: (0, 0.9677937080626833, 0, 0, 0.9981766977854967, 0),
        1: (0, 0, 0, 34.77906344483772, 44.835625328877896, 0),
        2: (
            95.1080498811086,
            0.9863978034400682,
            0.9834382792465353,
            0,
            171.2667255897307,
            0.9807858872435379,
        ),
    },
)
TOTAL = 0.9562382616834844
"""The metric's factor on the sum of all."""
POLYNOMIAL, POWER = (2.326765642916932, -0.020884521182843837, 6.248496625763138e-05), 0.6276336467831387
"""From that sum t to the score: 100 − 10·(a·t + b·t² + c·t³)^power."""

# Linear RGB → responses of the eye's cones, their bias, and the curve's value at zero light.
CONES = ((0.30, 0.622, 0.078), (0.23, 0.692, 0.078), (0.24342268924547819, 0.20476744424496821, 0.5518098665095536))
BIAS = 0.0037930732552754493
CONTRAST = 0.0009
"""C2 of structure."""

# The windows of both -------------------------------------------------------------------------------------------------

RADIUS, SIGMA = 5, 1.5
"""Of the Gaussian windows, pixels."""

# MS-SSIM ------------------------------------------------------------------------------------------------------------

MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the five scales, finest first."""
LUMINANCE, STRUCTURE = 0.01**2, 0.03**2
"""C1 and C2."""
SMALLEST = 1e-2
"""The least similarity of a scale that counts: the power of a smaller one has an unbounded gradient."""
