using DynamicLb.Cli;

return await CommandTable.Create().Parse(args).InvokeAsync();
