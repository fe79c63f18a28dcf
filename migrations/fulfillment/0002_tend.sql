-- See runtime.tend.
select runtime.tend('fulfillment.consignment');
