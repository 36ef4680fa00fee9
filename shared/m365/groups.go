package m365

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/fault"
	"github.com/mailtrail/mailtrail/shared/people"
)

// errGroups says what is missing when a tenant lets us list its people but not its groups.
var errGroups = errors.New("a scope of groups needs the permission GroupMember.Read.All, which the other scopes " +
	"do not")

// Members returns one page of the people in a group and in the groups that are in it ("List group transitive
// members", cast to users). It needs GroupMember.Read.All. link is "", or a former page's Next.
// people.ErrUnknown means that there is no such group, and people.ErrResync that the link is no longer valid.
func (c *Client) Members(
	ctx context.Context,
	t connection.Tenant,
	group people.ObjectID,
	link string,
	size int,
) (people.Members, error) {
	what := fmt.Sprintf("list the people of group %s of tenant %s", group, t.ID)
	if !connection.IsGUID(string(group)) {
		return people.Members{}, fmt.Errorf("%s: the group's id is no GUID: %w", what, people.ErrUnknown)
	}
	// Microsoft lists the cast among its advanced queries, which need the count and the header ("Advanced query
	// capabilities on Microsoft Entra ID objects").
	path := "/groups/" + string(group) + "/transitiveMembers/microsoft.graph.user"
	u, err := c.linkOr(t, link, path, url.Values{"$select": {"id"}, "$top": {strconv.Itoa(size)}, "$count": {"true"}})
	if err != nil {
		return people.Members{}, foreign(what, fault.Retry, err)
	}
	var said struct {
		Value []struct {
			ID string `json:"id"`
		} `json:"value"`
		Next string `json:"@odata.nextLink"`
	}
	header := http.Header{"Consistencylevel": {"eventual"}}
	err = c.graphJSON(ctx, call{what: what, tenant: t, url: u, header: header}, &said)
	switch {
	case isStatus(err, http.StatusNotFound):
		return people.Members{}, fmt.Errorf("%w: %w", err, people.ErrUnknown)
	case errors.Is(err, fault.Refused) && fault.Code(err) == "Authorization_RequestDenied":
		denied := &fault.Error{
			Kind:   fault.Refused,
			Code:   connection.GroupsDenied,
			Status: http.StatusForbidden,
			Err:    fmt.Errorf("%w: %w", err, errGroups),
		}
		return people.Members{}, denied
	case err != nil:
		return people.Members{}, resync(err, link != "")
	}
	members := people.Members{IDs: make([]people.ObjectID, 0, len(said.Value)), Next: said.Next}
	for _, m := range said.Value {
		members.IDs = append(members.IDs, people.ObjectID(strings.ToLower(m.ID)))
	}
	return members, nil
}
