# Shared by the scripts of this folder; sourced. What they test comes from the environment:
#   ABI_SOURCE   the source tree            ABI_BUILD    the build tree
#   ABI_VERSION  the version of the build   CC           the C compiler
# shellcheck source=tests/kit/check.sh
. "$ABI_SOURCE/tests/kit/check.sh"
header=$ABI_SOURCE/include/tong/tong.h

# The functions that tong.h declares, sorted.
public_functions() {
    sed -n 's/^TONG_API .*[ *]\(tong_[a-z0-9_]*\)(.*/\1/p' "$header" | sort
}
