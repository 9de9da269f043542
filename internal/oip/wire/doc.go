// Package wire holds the messages and the service of the Open Inference Protocol over gRPC, generated from inference.proto by
// scripts/proto.sh. It decides nothing; package oip answers.
package wire
