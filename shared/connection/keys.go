package connection

import (
	"fmt"

	"github.com/mailtrail/mailtrail/shared/table"
)

// The keys of this room, in the table Connections:
//
//	a connection             connection              <connection id>  with the hash of its open link, if any
//	its history              history|<id>            <number, 10 digits>  one item for each change of status or reason
//	who has a display name   name|<folded name>      lock
//	who has a tenant         tenant|<tenant id>      lock
//	a consent under way      attempt|<SHA-256, hex>  attempt  the hash of its state; expires after 15 minutes
//
// Listing connections reads one partition: there are some hundreds at most, and they are written only when something
// changes. A lock is created in the same Commit as the connection that holds it, so that of two writers exactly one
// gets the name or the tenant.

const (
	connectionPartition = "connection"
	lockSort            = "lock"
	attemptSort         = "attempt"
)

func connectionKey(id ID) table.Key {
	return table.Key{Partition: connectionPartition, Sort: string(id)}
}

func historyPartition(id ID) string { return "history|" + string(id) }

func historyKey(id ID, number int64) table.Key {
	return table.Key{Partition: historyPartition(id), Sort: fmt.Sprintf("%010d", number)}
}

func nameKey(folded string) table.Key {
	return table.Key{Partition: "name|" + folded, Sort: lockSort}
}

func tenantKey(t TenantID) table.Key {
	return table.Key{Partition: "tenant|" + string(t), Sort: lockSort}
}

func attemptKey(stateHash string) table.Key {
	return table.Key{Partition: "attempt|" + stateHash, Sort: attemptSort}
}
