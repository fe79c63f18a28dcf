"""Writes parameters.json: which parameters Stripe takes for each operation of the simulator, from Stripe's OpenAPI description (MIT).

    python3 parameters.py <spec3.json of github.com/stripe/stripe-mock/embedded/openapi> > parameters.json
"""
import json,sys
S=json.load(open(sys.argv[1]))
OPS={
 "payment_intents.create":("post","/v1/payment_intents"),
 "payment_intents.update":("post","/v1/payment_intents/{intent}"),
 "payment_intents.confirm":("post","/v1/payment_intents/{intent}/confirm"),
 "payment_intents.capture":("post","/v1/payment_intents/{intent}/capture"),
 "payment_intents.cancel":("post","/v1/payment_intents/{intent}/cancel"),
 "payment_intents.retrieve":("get","/v1/payment_intents/{intent}"),
 "payment_intents.list":("get","/v1/payment_intents"),
 "refunds.create":("post","/v1/refunds"),
 "refunds.retrieve":("get","/v1/refunds/{refund}"),
 "refunds.list":("get","/v1/refunds"),
 "charges.retrieve":("get","/v1/charges/{charge}"),
 "charges.list":("get","/v1/charges"),
 "disputes.retrieve":("get","/v1/disputes/{dispute}"),
 "disputes.list":("get","/v1/disputes"),
 "disputes.update":("post","/v1/disputes/{dispute}"),
 "disputes.close":("post","/v1/disputes/{dispute}/close"),
 "balance.retrieve":("get","/v1/balance"),
 "balance_transactions.retrieve":("get","/v1/balance_transactions/{id}"),
 "balance_transactions.list":("get","/v1/balance_transactions"),
 "events.retrieve":("get","/v1/events/{id}"),
 "events.list":("get","/v1/events"),
 "payment_methods.create":("post","/v1/payment_methods"),
 "payment_methods.retrieve":("get","/v1/payment_methods/{payment_method}"),
 "early_fraud_warnings.retrieve":("get","/v1/radar/early_fraud_warnings/{early_fraud_warning}"),
 "early_fraud_warnings.list":("get","/v1/radar/early_fraud_warnings"),
}
def shape(s):
    if "$ref" in s: s=S["components"]["schemas"][s["$ref"].split("/")[-1]]
    if "anyOf" in s:
        opts=[o for o in s["anyOf"] if o.get("enum")!=[""]]
        empty=len(opts)<len(s["anyOf"])
        shapes=[]
        for o in opts:
            x=shape(o)
            if x not in shapes: shapes.append(x)
        # an enumeration that Stripe also takes as a text, and an object or a text
        if len(shapes)==1: return shapes[0]
        return {"any":shapes}
    if "enum" in s: return {"enum":[e for e in s["enum"]]}
    t=s.get("type")
    if t=="object":
        if s.get("additionalProperties") not in (False,None) and not s.get("properties"):
            return {"map":shape(s["additionalProperties"])}
        d={"object":{k:shape(v) for k,v in sorted(s.get("properties",{}).items())}}
        if s.get("required"): d["required"]=s["required"]
        return d
    if t=="array": return {"list":shape(s["items"])}
    if t=="integer": return "integer"
    if t=="number": return "number"
    if t=="boolean": return "boolean"
    return "string"
out={}
for op,(m,p) in OPS.items():
    o=S["paths"][p][m]
    if m=="post":
        b=o["requestBody"]["content"]; k=next(iter(b)); sh=shape(b[k]["schema"])
    else:
        ps={q["name"]:shape(q["schema"]) for q in o.get("parameters",[]) if q["in"]=="query"}
        sh={"object":ps}
        r=[q["name"] for q in o.get("parameters",[]) if q["in"]=="query" and q.get("required")]
        if r: sh["required"]=r
    out[op]=sh
print("{\n"+",\n".join(f"  {json.dumps(k)}: {json.dumps(v,separators=(',',':'))}" for k,v in out.items())+"\n}")
