-- See runtime.tend.
select runtime.tend('notifications.customer');
select runtime.tend('notifications.message');
