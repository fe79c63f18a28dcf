-- See runtime.tend.
select runtime.tend('inventory.reservation');
select runtime.tend('inventory.movement');
