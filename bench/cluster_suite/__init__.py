"""`./dev bench cluster`: what stands in issue 7 as figures of the control plane, measured on real workers and on played ones."""
