# Writes and reads files with nibabel, for test/data/nibabel.test.ts.
#   nibabelFiles.py make FOLDER    writes source files of many kinds, with labels 0, 1, 2 and 4 as voxels
#   nibabelFiles.py read FILE ...  prints a line of JSON for each file: grid, type and voxels

import json
import sys
from pathlib import Path

import nibabel
import numpy

LABELS = numpy.array([0, 1, 2, 4])
OBLIQUE = numpy.array([[-1.9, 0.3, 0.1, 40], [0.31, 1.95, -0.2, -60], [-0.08, 0.18, 2.97, 12], [0, 0, 0, 1]])
ANISOTROPIC = numpy.array([[-0.5, 0, 0, 90.25], [0, -0.75, 0, 126.1], [0, 0, 6, -72.3], [0, 0, 0, 1]])


def make(folder):
    shape = (5, 4, 3)
    values = LABELS[numpy.arange(60).reshape(shape, order="F") * 7 % 4]
    values[0] = values[:, :, 2] = 0  # is cropped, and has to come back
    kinds = {"1": nibabel.Nifti1Image, "2": nibabel.Nifti2Image}
    for version, image in kinds.items():
        for order in "<>":
            for grid in ["anisotropic", "oblique", "qform", "none"]:
                affine = ANISOTROPIC if grid != "oblique" else OBLIQUE
                header = image.header_class(endianness=order)
                header.set_data_dtype(numpy.dtype("int16").newbyteorder(order))
                made = image(values.astype(header.get_data_dtype()), None, header)
                if grid == "qform":
                    turned = affine @ nibabel.affines.from_matvec(nibabel.eulerangles.euler2mat(0.3, -0.2, 0.5))
                    made.set_qform(turned, code=1)
                    made.set_sform(None, code=0)
                elif grid != "none":
                    made.set_sform(affine, code=4)
                    made.set_qform(affine, code=1, strip_shears=True)
                ending = ".nii" if order == "<" else ".nii.gz"
                nibabel.save(made, folder / f"nifti{version}-{'big' if order == '>' else 'little'}-{grid}{ending}")
    for kind in ["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "float32", "float64"]:
        nibabel.save(nibabel.Nifti1Image(values.astype(kind), OBLIQUE, dtype=kind), folder / f"labels-{kind}.nii.gz")


def read(path):
    image = nibabel.load(path)
    header = image.header
    print(
        json.dumps(
            {
                "file": Path(path).name,
                "shape": image.shape,
                "affine": image.affine.tolist(),
                "zooms": [float(zoom) for zoom in header.get_zooms()],
                "sform": [header.get_sform().tolist(), int(header["sform_code"])],
                "qform": [header.get_qform().tolist(), int(header["qform_code"])],
                "version": type(image).__name__,
                "endianness": header.endianness,
                "dtype": header.get_data_dtype().name,
                "scaling": [float(image.dataobj.slope), float(image.dataobj.inter)],
                "voxels": numpy.asarray(image.dataobj).ravel(order="F").astype(float).tolist(),
            }
        )
    )


command, *arguments = sys.argv[1:]
if command == "make":
    make(Path(arguments[0]))
else:
    for argument in arguments:
        read(argument)
