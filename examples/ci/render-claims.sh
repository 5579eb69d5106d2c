#!/bin/sh
# Renders and validates claims as Crossplane would, without a cluster; for a pull request.
#
#   render-claims.sh CLAIMS ENVIRONMENTCONFIG OUTPUT [SCHEMAS]
#
# CLAIMS             directory of claims, one in each *.yaml file
# ENVIRONMENTCONFIG  the site's settings
# OUTPUT             directory for what is rendered; files are named as the claims
# SCHEMAS            directory of the CRDs that the cluster has, all in one level; with it every
#                    rendered object is validated, and one without a schema is an error
#
# Needs on PATH the `crossplane` command line (2.3 or newer) and this project's `function`, and lies
# in a checkout of this project at the version that the cluster runs. Core itself is taken from a
# container image, or without Docker from the binary that CROSSPLANE_BINARY names.
# Exit status 1 when a claim is refused, cannot be rendered or gives something invalid.
set -eu

claims=$1
environment=$2
output=$3
schemas=${4:-}
product=$(cd "$(dirname "$0")/../.." && pwd)
address=${FUNCTION_ADDRESS:-127.0.0.1:9443}
core=--crossplane-version=${CROSSPLANE_VERSION:-v2.4.0}
if [ -n "${CROSSPLANE_BINARY:-}" ]; then
    core=--crossplane-binary=$CROSSPLANE_BINARY
fi
mkdir -p "$output"

# The word is reserved in some shells: `command` makes it the program.
command function --insecure --address "$address" --http-address "" &
running=$!
work=$(mktemp -d)
trap 'kill "$running"; rm -rf "$work"' EXIT

cat > "$work/functions.yaml" <<END
apiVersion: pkg.crossplane.io/v1
kind: Function
metadata:
  name: function-inference-service
  annotations:
    render.crossplane.io/runtime: Development
    render.crossplane.io/runtime-development-target: $address
spec:
  package: example.org/function-inference-service:v0.0.0
END

status=0
for claim in "$claims"/*.yaml; do
    rendered=$output/$(basename "$claim")
    # The resource and its group, by which the files of both kinds are named.
    kind=$(awk '/^kind:/ {print tolower($2) "s.cloud.ogenki.io"; exit}' "$claim")
    if ! crossplane resource validate "$product/xrd" "$claim" \
        --crossplane-image= --error-on-missing-schemas --skip-success-results; then
        status=1
        continue
    fi
    if ! crossplane composition render "$claim" "$product/compositions/x$kind.yaml" \
        "$work/functions.yaml" "$core" --xrd="$product/xrd/$kind.yaml" \
        --required-resources="$environment" --include-full-xr > "$rendered"; then
        status=1
        continue
    fi
    if [ -n "$schemas" ]; then
        crossplane resource validate "$product/xrd,$schemas" "$rendered" \
            --crossplane-image= --error-on-missing-schemas --skip-success-results || status=1
    fi
done
exit "$status"
