-- See runtime.tend.
select runtime.tend('fraud.assessment');
select runtime.tend('fraud.velocity');
