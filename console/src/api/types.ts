// The names by which the console calls what the management API's document describes (schema.ts, made from it).
import type { components } from "./schema.ts";

type Schemas = components["schemas"];
export type AuditEvent = Schemas["AuditEvent"];
export type Decision = Schemas["Decision"];
export type Deployment = Schemas["Deployment"];
export type DeploymentCreate = Schemas["DeploymentCreate"];
export type Device = Schemas["Device"];
export type Evaluation = Schemas["Evaluation"];
export type EvaluationCreate = Schemas["EvaluationCreate"];
export type Instance = Schemas["Instance"];
export type JoinToken = Schemas["JoinToken"];
export type Key = Schemas["Key"];
export type KeyCreate = Schemas["KeyCreate"];
export type Limits = Schemas["Limits"];
export type LoginConfig = Schemas["LoginConfig"];
export type Model = Schemas["Model"];
export type ModelMeta = Schemas["ModelMeta"];
export type NewJoinToken = Schemas["NewJoinToken"];
export type NewKey = Schemas["NewKey"];
export type Provider = Schemas["Provider"];
export type ProviderTest = Schemas["ProviderTest"];
export type Revision = Schemas["Revision"];
export type Route = Schemas["Route"];
export type ServerInfo = Schemas["Server"];
export type UsageSummary = Schemas["UsageSummary"];
export type User = Schemas["User"];
export type Worker = Schemas["Worker"];
