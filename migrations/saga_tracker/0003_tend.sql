-- See runtime.tend.
select runtime.tend('saga_tracker.event');
select runtime.tend('saga_tracker."order"');
select runtime.tend('saga_tracker.shipment');

-- Documents that are stored as text.
alter table saga_tracker.event alter column data set statistics 0;
alter table saga_tracker."order" alter column lines set statistics 0, alter column faults set statistics 0,
    alter column shipped set statistics 0, alter column unshipped set statistics 0;
alter table saga_tracker.shipment alter column items set statistics 0, alter column short set statistics 0;
