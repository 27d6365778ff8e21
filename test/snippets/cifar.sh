# SPDX-License-Identifier: BSD-3-Clause
# CIFAR-10's files with 20 images each instead of 10,000.
mkdir -p cifar-10
printf "%s\n" airplane automobile bird cat deer dog frog horse ship truck > cifar-10/batches.meta.txt
for file in data_batch_1 data_batch_2 data_batch_3 data_batch_4 data_batch_5 test_batch; do
    for class in 0 1 2 3 4 5 6 7 10 11 0 1 2 3 4 5 6 7 10 11; do # octal
        printf "\\$class"
        head -c 3072 examples/models/quickstart.resattn
    done > "cifar-10/$file.bin"
done
resattn()
{
    command resattn "$@" --epochs 1 --limit 60 --batch 20 --average-batches 2 --threads 1
}
# block
