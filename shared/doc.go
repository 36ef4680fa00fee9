// Package shared is the tour of Mailtrail's rooms, from the inside out. Each may import only those before it; the
// test beside this file holds them to it.
//
// Five nouns travel. A Connection says that a tenant has let us in. A Blob is a bundle of audit records that Microsoft
// says is ready. A Record is one thing that happened, as Microsoft reports it. A Message is one sent mail with
// attachments, the unit of storage. An Event is one attachment of one message, the unit that an analyst sees.
//
// The contracts:
//
//   - fault names the ways in which work for a tenant fails: retry, refused, poison; and that it is our own fault.
//   - pace is how work waits and how much of it runs at once.
//   - table is ordered items under partitions: what DynamoDB and one machine's disk have in common.
//   - queue is durable work, delivered at least once.
//
// The domain, which knows the contracts and the standard library only:
//
//   - access decides who may call what, and keeps the trail of who did.
//   - dead looks after work that failed too often.
//   - connection is a tenant's life with us: consent, status, history.
//   - audit lists a tenant's blobs, keeps the ledger of what became of each, and reads the records out of them.
//   - people knows who is in a tenant, who of them is monitored or why not, and whose mail is kept.
//   - forensic turns records into messages and events, stores each once, and keeps the term index.
//   - enrich finds recipients and hashes of stored messages in the senders' mailboxes.
//   - doctor examines a tenant at Microsoft, reading only, and says which of our assumptions hold.
//   - segment is the form of segments: immutable packs of rows, and what can be asked of them.
//   - search answers Forensic Search over them.
//   - openapi holds the document that describes all doors, and serves it.
//
// What the programs share, above the domain:
//
//   - settings holds what an operator may set, each setting once.
//   - agents wires the agents of all rooms, once.
//
// The adapters, which never import one another:
//
//   - embedded is table and queue on one machine's disk.
//   - dynamo is table on DynamoDB, sqs is queue on SQS.
//   - m365 speaks to Microsoft.
//   - trigger turns Lambda's events into HTTP requests, queued messages and ticks.
//
// The programs plug the adapters into the agents. Each folder of functions is one Lambda function. The room local is
// the product on one machine: all agents in one process, and the command line.
//
// Beside the product stand what it is tried with and what proves it. None of them is part of it:
//
//   - sim holds simulated surroundings: a hostile Microsoft 365, a Lambda service, a browser. They import nothing of
//     ours.
//   - proof holds the programs that prove promises: the story on AWS's engines, the bench, and keep, which keeps a
//     store of each release for the tests.
//   - tools holds an operator's tools: entra registers the application at Microsoft.
package shared
