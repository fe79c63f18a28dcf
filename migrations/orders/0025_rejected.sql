-- A rejected order no longer occupies its identity: mended, it can be placed again under it. Its key is made one that no identity has,
-- by the digit that names a UUID's version, so that the record that placed it is still known when it is read again.
update orders."order" set placement = overlay(placement::text placing '8' from 15 for 1)::uuid where state = 'REJECTED';
