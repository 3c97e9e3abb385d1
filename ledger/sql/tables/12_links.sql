-- Links of an address on every chain: wallets of it that are yet to come are linked from the start.
-- A link on one chain stands on the wallet alone.
create table creditd.wallet_link (
  address    bytea constraint wallet_link_pkey primary key,
  root_id    bigint not null,
  account_id bigint not null,
  linked_at  timestamptz not null,
  constraint wallet_link_address_is_20_bytes check (octet_length(address) = 20)
);
create index wallet_link_by_account on creditd.wallet_link (root_id, account_id);
create index wallet_by_address on creditd.wallet (address);

-- The wallets that earn or once earned for an account by a link: where to look for its earnings.
create table creditd.linked_wallet (
  root_id    bigint not null,
  account_id bigint not null,
  chain_id   bigint not null,
  address    bytea not null,
  constraint linked_wallet_pkey primary key (root_id, account_id, chain_id, address)
);
