#!/usr/bin/env bash
# Renders what is here from the chart: base/ from its defaults, and the objects of overlays/autoscaled.
# HELM names the helm to use (3.17 or newer), OUT another directory to write to.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
chart=$here/../helm/classify-worker
out=${OUT:-$here}

# Renders one template into a file, without the labels that say Helm manages it.
render() {
    local template=$1 file=$out/$2
    shift 2
    mkdir -p "$(dirname "$file")"
    {
        echo "# Rendered from the chart by deploy/kubernetes/render.sh: change the chart, not this file."
        "${HELM:-helm}" template classify-worker "$chart" --namespace image-classification \
            --show-only "templates/$template" "$@" |
            grep -vE '^$|^---$|^# Source: |^ +(app\.kubernetes\.io/managed-by|helm\.sh/chart): '
    } >"$file"
}

for template in configmap networkpolicy poddisruptionbudget service serviceaccount; do
    render $template.yaml base/$template.yaml
done
render workload.yaml base/deployment.yaml

scaled=(--set autoscaling.enabled=true --set podMonitor.enabled=true
    --set autoscaling.prometheus.serverAddress=http://prometheus-operated.monitoring.svc:9090)
for template in scaledobject podmonitor; do
    render $template.yaml overlays/autoscaled/$template.yaml "${scaled[@]}"
done
