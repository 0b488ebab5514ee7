"""`./dev bench kernels`: products of weights, as a page of tables and a roofline."""
