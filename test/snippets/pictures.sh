# SPDX-License-Identifier: BSD-3-Clause
# A folder of pictures, two for each class, and batches no larger.
for part in train test; do
    for class in cat dog; do
        mkdir -p "pictures/$part/$class"
        cp examples/models/star.png "pictures/$part/$class/1.png"
        cp examples/models/heart.png "pictures/$part/$class/2.png"
    done
done
resattn()
{
    [ "$1" != train ] || set -- "$@" --batch 4
    command resattn "$@"
}
# block
