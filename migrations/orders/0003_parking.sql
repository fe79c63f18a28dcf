-- See runtime.furnish_parking.
select runtime.furnish_parking('orders');
