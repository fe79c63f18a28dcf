-- See runtime.tend.
select runtime.tend('payments.payment');
