#!/bin/sh
# A Git server with one repository, `data`, for what `personsearch data version` commits: hashes, while the pictures are in
# the store. It asks for no password; the network rule decides who reaches it.
set -e
git init --quiet --bare --initial-branch main /repositories/data
exec git daemon --reuseaddr --base-path=/repositories --export-all --enable=receive-pack --informative-errors /repositories
