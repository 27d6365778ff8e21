# SPDX-License-Identifier: BSD-3-Clause
# The tool's commands with pictures for photographs, a small folder of them, and a small network for large ones.
for class in heart star; do
    mkdir -p "DIR/train/$class" "DIR/test/$class"
    cp "examples/models/$class.png" "DIR/train/$class/1.png"
    cp "examples/models/$class.png" "DIR/test/$class/1.png"
done
cp examples/models/star.png photo.jpg # files are known by their bytes
resattn convert attention-56-cifar weights.safetensors
resattn()
{
    case $1 in
    train) [ "$2" = --resume ] && command resattn "$@" || command resattn "$@" --epochs 2 --batch 2 --stop-after-steps 1 ;;
    bench) command resattn "$@" --model attention-56-cifar --size 32 --batch 2 --runs 1 --threads 1 ;;
    convert) command resattn "$@" --model attention-56-cifar --level 0 ;;
    classify | attend) command resattn "$@" --size 32 ;;
    eval) command resattn "$@" --threads 1 ;;
    *) command resattn "$@" ;;
    esac
}
# block
