import { tryOrders } from "./orders.ts";

Deno.test("in every order of readers, answers, purges, sweeps and clocks, each promise is kept", () => tryOrders(250));
