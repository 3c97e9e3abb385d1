-- Charges look at prices before they write entries. Prices change in a later migration of the same transaction:
-- taken in the charges' order, the tables never have it and a charge wait for each other.
lock table creditd.price in access exclusive mode;
-- By which API key a charge or a reservation was made; of a settlement, that of its reservation.
alter table creditd.entry add column if not exists api_key_id integer;
