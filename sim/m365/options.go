package m365sim

import (
	"cmp"
	"crypto/rsa"
	"log/slog"
	"net/http"
	"time"
)

// Options are the knobs of the simulation. The zero value is a friendly world: nothing is refused, torn or late.
// Change and the control door's /options turn them while the simulation runs, but for those that are fixed.
type Options struct {
	Seed        uint64           `knob:"fixed"` // decides every random refusal, duplicate and order
	Now         func() time.Time `knob:"fixed"` // the clock below Advance; time.Now when nil
	Log         *slog.Logger     `knob:"fixed"` // one debug line per request; silent when nil
	Key         *rsa.PrivateKey  `knob:"fixed"` // signs the tokens; made at the first need, in about 0.1 s, when nil
	HistorySize int              `knob:"fixed"` // requests that History remembers; 10,000 when zero

	Cloud            string `knob:"fixed"` // of these doors: commercial (default), gcc, gcchigh or dod
	ActivityAudience string `knob:"fixed"` // resource of the activity API; by default that of the cloud
	GraphAudience    string `knob:"fixed"` // resource of Graph; by default that of the cloud

	PageSize      int // entries per page of a content list; 3 when zero
	GraphPageSize int // most objects per page of users and attachments, whatever $top asks for; no limit when zero
	MailboxSlots  int // requests that one app may run in one mailbox at a time; 4 when zero
	TenantQuota   int // activity API requests per tenant and minute before AF429; no limit when zero

	DuplicateRate  float64 // share of content entries that are listed twice, on one page and across two
	RefuseRate     float64 // share of requests that are throttled or fail on the server's side
	TornRate       float64 // share of blob and attachment bodies whose connection ends half-way
	LateRate       float64 // share of blobs that are listed LateBy after their contentCreated
	StatuslessRate float64 // share of subscriptions listed without their status
	Shuffle        bool    // content pages and batch answers come in no order

	TokenLife   time.Duration // life of an access token; 3599 s when zero
	CodeLife    time.Duration // life of an authorization code; 10 minutes when zero
	ContentLife time.Duration // contentExpiration minus contentCreated; 7 days when zero
	LateBy      time.Duration // see LateRate
	SentLag     time.Duration // from sending until the Sent Items copy can be found
	Latency     time.Duration // every request waits this long (real time)
	RetryAfter  time.Duration // the Retry-After of throttled Graph and login requests; 1 s when zero

	RolePropagation time.Duration // from consent until new tokens carry the roles
	RoleFlicker     time.Duration // after that, half of the new tokens still lack the roles for so long
	PermissionLag   time.Duration // after RolePropagation, the APIs refuse tokens that carry the roles for so long

	PolicyLag time.Duration // from a change of a mailbox's access policy until it takes effect

	StartSpacing       time.Duration // least time between two starts of one content type; no limit when zero
	StartSpacingStatus int           // HTTP status of a start that comes too early, whose code is "429"; 403 when zero
	RefusedStartsCount bool          // a start that came too early begins the time anew

	PeoplePageBytes    int  // a page of people with more bytes is answered with 504; no limit when zero
	LargeTop           int  // a page of people with a greater $top is answered with 504; no limit when zero
	LargeTopHangs      bool // with LargeTop: it is never answered instead
	MembersCycle       bool // the last page of a group's members links to the first one again
	DeltaHidesRestored bool // a delta with $select lists restored people only when something else of them changes

	StrictPublisher       bool // a request without PublisherIdentifier meets a shared pool that is always exhausted
	RecoverableInMessages bool // a search of the whole mailbox finds Recoverable Items too

	WidsBy          string // what puts wids into id_tokens: group, optional or either (of App); always there when empty
	UnitRolesInWids bool   // roles within an administrative unit are among wids

	OmitODataType bool // attachments listed with $select carry no @odata.type
}

// Hostile is the default world for tests of a whole product: small pages, duplicates, refusals, torn bodies,
// short-lived tokens and roles that take their time.
func Hostile(seed uint64) Options {
	return Options{
		Seed: seed, PageSize: 3, GraphPageSize: 7, TenantQuota: 2000,
		DuplicateRate: 0.2, RefuseRate: 0.05, TornRate: 0.03, StatuslessRate: 0.2, LateRate: 0.1, LateBy: time.Minute,
		Shuffle:   true,
		TokenLife: 5 * time.Minute, RolePropagation: 20 * time.Second, SentLag: 2 * time.Second,
		StartSpacing: 15 * time.Minute, RefusedStartsCount: true, RoleFlicker: time.Second,
		PermissionLag:   2 * time.Second,
		PeoplePageBytes: 16 << 20, MembersCycle: true, DeltaHidesRestored: true, WidsBy: "either",
		Latency: 2 * time.Millisecond, StrictPublisher: true,
	}
}

// Calm is a world without mishaps: large pages, nothing refused, torn, late or listed twice. What Microsoft's protocols
// demand they demand here too.
func Calm(seed uint64) Options { return Options{Seed: seed, PageSize: 200} }

// Storm is Hostile on a bad day: a third of all requests are refused, a tenth of all bodies torn, half of all entries
// listed twice, tokens live for a minute, and requests without PublisherIdentifier are never served.
func Storm(seed uint64) Options {
	o := Hostile(seed)
	o.RefuseRate, o.TornRate, o.DuplicateRate, o.LateRate, o.LateBy = 0.33, 0.1, 0.5, 0.3, 5*time.Minute
	o.TokenLife, o.RolePropagation, o.Latency, o.TenantQuota = time.Minute, 3*time.Minute, 20*time.Millisecond, 600
	return o
}

// filled puts the defaults where nothing was chosen.
func (o Options) filled() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Cloud = cmp.Or(o.Cloud, commercial)
	o.ActivityAudience = cmp.Or(o.ActivityAudience, activityAudience(o.Cloud))
	o.GraphAudience = cmp.Or(o.GraphAudience, graphAudience(o.Cloud))
	o.PageSize = cmp.Or(o.PageSize, 3)
	o.MailboxSlots = cmp.Or(o.MailboxSlots, 4)
	o.HistorySize = cmp.Or(o.HistorySize, 10_000)
	o.TokenLife = cmp.Or(o.TokenLife, 3599*time.Second)
	o.CodeLife = cmp.Or(o.CodeLife, 10*time.Minute)
	o.ContentLife = cmp.Or(o.ContentLife, 7*24*time.Hour)
	o.StartSpacingStatus = cmp.Or(o.StartSpacingStatus, http.StatusForbidden)
	o.RetryAfter = cmp.Or(o.RetryAfter, time.Second)
	return o
}

// commercial is the cloud of a tenant or of doors that name none.
const commercial = "commercial"

func activityAudience(cloud string) string {
	switch cloud {
	case "gcc":
		return "https://manage-gcc.office.com"
	case "gcchigh":
		return "https://manage.office365.us"
	case "dod":
		return "https://manage.protection.apps.mil"
	default:
		return "https://manage.office.com"
	}
}

func graphAudience(cloud string) string {
	switch cloud {
	case "gcchigh":
		return "https://graph.microsoft.us"
	case "dod":
		return "https://dod-graph.microsoft.us"
	default:
		return "https://graph.microsoft.com"
	}
}

// loginHost is the login service of a cloud. GCC shares that of the commercial cloud.
func loginHost(cloud string) string {
	if cloud == "gcchigh" || cloud == "dod" {
		return "login.microsoftonline.us"
	}
	return "login.microsoftonline.com"
}
