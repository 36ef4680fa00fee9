# Mailtrail on one machine, in an image that holds nothing but the program and the certificates of public authorities:
#
#     docker build -t mailtrail .
#     docker run -p 127.0.0.1:8080:8080 -v mailtrail:/data mailtrail
#
# It listens on every address of the container, so publish the port on loopback only, behind a proxy that speaks TLS.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG COMMIT=
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.commit=$COMMIT" -o /mailtrail ./local \
 && mkdir -m 700 /data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /mailtrail /mailtrail
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
ENV ADDR=0.0.0.0:8080 DATA=/data
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["/mailtrail"]
CMD ["serve"]
