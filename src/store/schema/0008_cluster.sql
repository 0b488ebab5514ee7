-- A place kept for the tables of the branch `cluster`, whose file of this name replaces this one when the two are merged.
SELECT 1;
