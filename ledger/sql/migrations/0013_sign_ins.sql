-- What wallets were asked to sign and did not yet, by the SHA-256 of the whole text: what comes back is that
-- very text, or nothing. Each is taken once.
create table creditd.challenge (
  digest       bytea constraint challenge_pkey primary key,
  challenge_no bigint generated always as identity,
  purpose      text not null,
  chain_id     bigint not null,
  address      bytea not null,
  app_id       integer,           -- of a link: who asked for it …
  root_id      bigint,            -- … and the account that the text names
  account_id   bigint,
  tries        smallint not null default 0,
  expires_at   timestamptz not null,
  constraint challenge_digest_is_sha256 check (octet_length(digest) = 32),
  constraint challenge_address_is_20_bytes check (octet_length(address) = 20),
  constraint challenge_purpose_is_known check (purpose in ('sign_in', 'link')),
  constraint challenge_of_a_link_names_its_account check (
    num_nulls(app_id, root_id, account_id) in (0, 3) and (purpose = 'link') = (account_id is not null))
);
create unique index challenge_by_age on creditd.challenge (challenge_no);

-- Who signed in, by which wallet, until when; of a session's secret only the SHA-256.
create table creditd.sign_in (
  digest     bytea constraint sign_in_pkey primary key,
  root_id    bigint not null,
  account_id bigint not null,
  chain_id   bigint not null,
  address    bytea not null,
  created_at timestamptz not null,
  seen_at    timestamptz not null,
  ends_at    timestamptz not null,  -- at the latest
  ended_at   timestamptz,           -- by signing out
  constraint sign_in_digest_is_sha256 check (octet_length(digest) = 32),
  constraint sign_in_address_is_20_bytes check (octet_length(address) = 20),
  constraint sign_in_ends_later check (created_at <= seen_at and created_at < ends_at)
);
create index sign_in_by_account on creditd.sign_in (root_id, account_id, created_at);
create index sign_in_by_end on creditd.sign_in (ends_at);

-- The signature that each link by a signature was made by, as evidence. `chain_id` is null where a key signed.
create table creditd.wallet_proof (
  root_id    bigint not null,
  account_id bigint not null,
  proof_no   bigint generated always as identity,
  app_id     integer not null,
  chain_id   bigint,
  address    bytea not null,
  message    text not null,
  signature  bytea not null,
  linked_at  timestamptz not null,
  constraint wallet_proof_pkey primary key (root_id, account_id, proof_no),
  constraint wallet_proof_address_is_20_bytes check (octet_length(address) = 20)
);
create index wallet_proof_by_address on creditd.wallet_proof (address);
