-- See runtime.furnish_parking.
select runtime.furnish_parking('saga_tracker');
