// Package shared is the tour of Mailtrail's rooms, from the inside out. Each may import only those before it; the
// test beside this file holds them to it.
//
// Five nouns travel. A Connection says that a tenant has let us in. A Blob is a bundle of audit records that Microsoft
// says is ready. A Record is one thing that happened, as Microsoft tells it. A Message is one sent mail with
// attachments, the unit of storage. An Event is one attachment of one message, the unit that an analyst sees.
//
// The contracts:
//
//   - fault names the ways in which work for a tenant fails: retry, refused, poison; and that it is our own fault.
//   - table is ordered items under partitions: what DynamoDB and one machine's disk have in common.
//   - queue is durable work, delivered at least once.
//
// The domain, which knows the contracts and the standard library only:
//
//   - access decides who may call what, and keeps the trail of who did.
//   - connection is a tenant's life with us: consent, status, history.
//   - audit lists a tenant's blobs, keeps the ledger of what became of each, and reads the records out of them.
//   - people knows who is in a tenant, who of them is monitored or why not, and whose mail is kept.
//   - forensic turns records into messages and events, stores each once, and keeps the term index.
//   - enrich finds recipients and hashes of stored messages in the senders' mailboxes.
//   - search answers Forensic Search over them.
//   - openapi holds the document that describes all doors, and serves it.
//
// The adapters, which never import one another:
//
//   - embedded is table and queue on one machine's disk.
//   - dynamo is table on DynamoDB, sqs is queue on SQS.
//   - m365 speaks to Microsoft.
//   - trigger turns Lambda's events into HTTP requests, queued messages and ticks.
//
// The programs wire them: each folder of functions is one Lambda function, and local runs all agents in one process.
package shared
