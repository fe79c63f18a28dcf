-- Orders are found by the reference that whoever placed them gave. A hash: references may be longer than a B-tree takes, and are only asked for whole.
create index order_reference on saga_tracker."order" using hash (reference) where reference is not null;
