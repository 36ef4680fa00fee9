package company

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/sim/m365/world"
)

// The load is for measuring, not for showing: any number of plain records of loadSenders people of one tenant, made
// fast, one every loadStep from loadStart.
const (
	loadTenant  = "11111111-2222-4333-8444-555555555555"
	loadSenders = 500
	loadStep    = 100 * time.Millisecond
)

func loadStart() time.Time { return time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC) }

// LoadPeople are the people who send the load, each with the plan that has Audit (Premium).
func LoadPeople() []world.Person {
	people := make([]world.Person, loadSenders)
	for i := range people {
		address := fmt.Sprintf("user%03d@load.example", i)
		people[i] = world.Person{
			ID: fmt.Sprintf("10ad0000-0000-4000-8000-%012d", i), DisplayName: fmt.Sprintf("User %d", i),
			UserPrincipalName: address, Mail: address,
			UserType: "Member", Enabled: true, Plans: []world.Plan{plan(PlanAdvancedAuditing, "Enabled")},
		}
	}
	return people
}

// SendRecords returns n Send records of about size bytes each, in the order of time. Each has one attachment, and its
// own id, message id and file name. The size that real ones have is 1300; less than 1100 is not made.
func SendRecords(seed uint64, n, size int) []world.Record {
	l := newLoad(seed)
	records := make([]world.Record, n)
	for i := range records {
		records[i] = l.send(i, size)
	}
	return records
}

// Mixed says what MixedBlob wrote.
type Mixed struct {
	Records, Sends int // the sends are among the records
	Bytes          int64
}

// MixedBlob writes one blob, a JSON array of audit records, of at least so many bytes (by less than one record more).
// The given share of its records, 0 to 1, are sends with an attachment; the rest are of other kinds, and some of them
// speak of sends. Nothing of the blob is kept in memory, so it can be of any size.
func MixedBlob(w io.Writer, seed uint64, bytes int64, sendShare float64) (Mixed, error) {
	l, out, m := newLoad(seed), bufio.NewWriterSize(w, 1<<16), Mixed{}
	for separator := "["; m.Bytes < bytes || m.Records == 0; separator = "," {
		var json []byte
		if l.Float64() < sendShare {
			json = l.send(m.Records, 1300).JSON
			m.Sends++
		} else {
			json = l.bystander()
		}
		out.WriteString(separator) // an error stays with the writer and Flush returns it
		if _, err := out.Write(json); err != nil {
			return m, fmt.Errorf("write record %d of a blob: %w", m.Records, err)
		}
		m.Records++
		m.Bytes += int64(len(separator) + len(json))
	}
	out.WriteByte(']')
	m.Bytes++
	if err := out.Flush(); err != nil {
		return m, fmt.Errorf("write the end of a blob: %w", err)
	}
	return m, nil
}

// load makes records faster than a company: what costs time is made once and used again.
type load struct {
	dice
	words      []string
	extensions []string
	bystanders [][2][]byte // the bytes before and after a record's id
}

func newLoad(seed uint64) *load {
	l := &load{dice: throw(seed, streamLoad), words: strings.Fields(fileTopics)}
	for _, k := range kinds() {
		l.extensions = append(l.extensions, k.extension)
	}
	c := New(Options{Seed: seed, TenantID: loadTenant})
	for range 500 {
		r := c.bystander(l.dice, loadStart())
		before, after, _ := strings.Cut(string(r.JSON), r.ID)
		l.bystanders = append(l.bystanders, [2][]byte{[]byte(before), []byte(after)})
	}
	return l
}

func (l *load) bystander() []byte {
	around := pick(l.dice, l.bystanders)
	json := make([]byte, 0, len(around[0])+36+len(around[1]))
	return append(append(append(json, around[0]...), l.guid()...), around[1]...)
}

// send makes the i-th record.
func (l *load) send(i, size int) world.Record {
	id, who := l.guid(), l.IntN(loadSenders)
	at := loadStart().Add(time.Duration(i) * loadStep).Truncate(time.Second)
	user := fmt.Sprintf("user%03d@load.example", who)
	o := &object{json: make([]byte, 0, size+200)}
	o.raw("", `{"CreationTime":"`+at.Format(creationTime)+`","Id":"`+id+`","Operation":"Send","OrganizationId":"`+
		loadTenant+`","RecordType":2,"ResultStatus":"Succeeded"`)
	o.json = fmt.Appendf(o.json,
		`,"UserKey":"10032001%08d","UserType":0,"Version":1,"Workload":"Exchange","ClientIP":"203.0.113.%d"`,
		who, who%254+1)
	o.json = fmt.Appendf(o.json, `,"UserId":"%s","AppId":"`+appOWA+`","ClientIPAddress":"203.0.113.%d"`,
		user, who%254+1)
	o.raw("ClientInfoString", `"Client=OWA;Action=ViaProxy","ExternalAccess":false,"InternalLogonType":0,"LogonType":0`)
	o.json = fmt.Appendf(o.json,
		`,"LogonUserSid":"S-1-5-21-1004336348-1177238915-%08d","MailboxGuid":"%08x-1111-4222-8333-444444444444"`,
		who, who)
	o.json = fmt.Appendf(o.json, `,"MailboxOwnerSid":"S-1-5-21-1004336348-1177238915-%08d","MailboxOwnerUPN":"%s"`,
		who, user)
	o.raw("OrganizationName", `"load.onmicrosoft.com","OriginatingServer":"DB8PR04MB6875 (15.20.4042.018)\r\n"`)
	o.json = fmt.Appendf(o.json, `,"SessionId":"%s","Item":{"Attachments":"%s %s %d.%s (%db)"`, id[:24]+"0123456789ab",
		pick(l.dice, l.words), pick(l.dice, l.words), i, pick(l.dice, l.extensions), l.between(1_000, 2_000_000))
	o.json = fmt.Appendf(o.json,
		`,"Id":"Unknown","InternetMessageId":"<AM0PR04MB%016X@AM0PR04MB6875.eurprd04.prod.outlook.com>"`,
		l.Uint64())
	o.json = fmt.Appendf(o.json,
		`,"SizeInBytes":%d,"Subject":"%s for %s","ParentFolder":{"Path":"\\Drafts","Id":"LgAAAAB`,
		l.between(2_000, 2_000_000), pick(l.dice, l.words), pick(l.dice, l.words))
	const end = `"}}}`
	for range max(0, size-len(o.json)-len(end)) {
		o.json = append(o.json, 'A')
	}
	o.json = append(o.json, end...)
	return world.Record{ID: id, Created: at, JSON: o.json}
}
