package people

import (
	"strconv"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/table"
)

// The keys of table People. c is the connection, p the object id of a person, n the name of a list, b one of 16
// buckets by a hash of what is sorted in it, so that no partition takes the whole census of a tenant.
//
//	access                                  partition      sort
//	a person; everybody, in pages           c|person|b     p
//	whose an address or a principal is      c|name|b       <address, lower case>   (id: p)
//	addresses that are not in the directory c|unknown      <address, lower case>   expires
//	the last send of a person               c|send|b       p
//	gate and scope                          c|scope        scope
//	a list that a scope refers to           c|list|n|b     <address>, or p
//	which lists there are                   c|lists        n
//	how far the census has come; lease      c|census       state
//	domains of the tenant                   c|domains      <domain, lower case>
//
// A name is looked up in two steps, and the second one decides: the name leads to a person, and the person's
// own item says whether the name is still theirs. So a name may be left behind, and a crash between the two
// writes does no harm.
const (
	buckets    = 16
	scopeSort  = "scope"
	censusSort = "state"
	doubtSort  = "doubt"
	// maxName is how many bytes of a name stand in a key. A longer one names nobody: SMTP takes 254 characters.
	maxName = 320
)

// bucket spreads what is sorted by s.
func bucket(s string) int {
	const offset, prime = 2166136261, 16777619 // 32-bit FNV-1a
	h := uint32(offset)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * prime
	}
	return int(h % buckets)
}

func inBucket(prefix string, b int) string { return prefix + "|" + strconv.FormatInt(int64(b), 16) }

func personPartition(c connection.ID, b int) string { return inBucket(string(c)+"|person", b) }

func personKey(c connection.ID, id ObjectID) table.Key {
	return table.Key{Partition: personPartition(c, bucket(string(id))), Sort: string(id)}
}

func namePartition(c connection.ID, b int) string { return inBucket(string(c)+"|name", b) }

func nameKey(c connection.ID, name string) table.Key {
	return table.Key{Partition: namePartition(c, bucket(name)), Sort: name}
}

func unknownPartition(c connection.ID) string { return string(c) + "|unknown" }

func unknownKey(c connection.ID, name string) table.Key {
	return table.Key{Partition: unknownPartition(c), Sort: name}
}

func sendPartition(c connection.ID, b int) string { return inBucket(string(c)+"|send", b) }

func sendKey(c connection.ID, id ObjectID) table.Key {
	return table.Key{Partition: sendPartition(c, bucket(string(id))), Sort: string(id)}
}

func scopeKey(c connection.ID) table.Key {
	return table.Key{Partition: string(c) + "|scope", Sort: scopeSort}
}

func listPartition(c connection.ID, list string, b int) string {
	return inBucket(string(c)+"|list|"+list, b)
}

func listKey(c connection.ID, list, entry string) table.Key {
	return table.Key{Partition: listPartition(c, list, bucket(entry)), Sort: entry}
}

func listsPartition(c connection.ID) string { return string(c) + "|lists" }

func censusKey(c connection.ID) table.Key {
	return table.Key{Partition: string(c) + "|census", Sort: censusSort}
}

func doubtKey(c connection.ID) table.Key {
	return table.Key{Partition: string(c) + "|census", Sort: doubtSort}
}

func domainsPartition(c connection.ID) string { return string(c) + "|domains" }
