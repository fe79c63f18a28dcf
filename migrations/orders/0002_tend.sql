-- See runtime.tend.
select runtime.tend('orders."order"');
