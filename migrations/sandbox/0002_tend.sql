-- See runtime.tend.
select runtime.tend('sandbox.payment');
select runtime.tend('sandbox.operation');
